import { makeScenario, type Less } from "./scenario.ts";
import { simulate, type Verdict } from "./simulate.ts";

/** Leaves out troubles and events of a seed that breaks a promise as long as it breaks the same one. */
export async function shrink(seed: number, found: Verdict): Promise<{ readonly less: Less; readonly verdict: Verdict }> {
  const rule = found.violations[0]?.rule;
  let less: Less = {};
  let verdict = found;
  const attempt = async (smaller: Less): Promise<boolean> => {
    const tried = await simulate(seed, { less: smaller });
    if (tried.violations[0]?.rule !== rule) return false;
    less = smaller;
    verdict = tried;
    return true;
  };
  for (const index of makeScenario(seed).troubles.keys()) await attempt({ ...less, without: new Set([...(less.without ?? []), index]) });
  const longest = Math.max(...found.scenario.input.map(({ length }) => length));
  for (let events = Math.floor(longest / 2); events > 0; events = Math.floor(events / 2)) {
    if (!(await attempt({ ...less, events }))) break;
  }
  return { less, verdict };
}
