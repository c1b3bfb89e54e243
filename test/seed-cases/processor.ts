import { UnknownCase } from "./case.ts";
import { PythonError } from "./python-error.ts";
import { expression } from "./python.ts";

/** What a case's sentence says of the function that is called for each event. */
export interface Processor {
  /** Milliseconds that each call takes. */
  readonly sleep: number;
  /** Milliseconds between two events. */
  readonly gap: number;
  /** @param call counts all calls, from 1. @throws {PythonError} when it is to fail */
  answer(event: unknown, call: number): unknown;
}

interface Raise {
  readonly error: string;
  readonly message: string;
}

/**
 * Reads a sentence such as `fails 2 time(s) with ValueError('fail<k>') then returns event*10`, or `raises RuntimeError('boom') on 3; 20 ms between events`.
 * @throws {UnknownCase} when something in it is not understood
 */
export function processorOf(sentence: string | undefined): Processor {
  let rest = sentence ?? "";
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    const match = pattern.exec(rest) ?? undefined;
    if (match !== undefined) rest = `${rest.slice(0, match.index)};${rest.slice(match.index + match[0].length)}`;
    return match;
  };
  const gap = take(/\b([\d.]+) ?(ms|s)\b(?: pause)? between (?:the )?events/);
  const sleep = take(/\bsleeps?(?: for)? ([\d.]+) ?(ms|s)\b/);
  const failing = take(/\bfails (\d+) times?(?:\(s\))? with (\w+)\((?:'(.*?)'|"(.*?)")?\)/);
  const always =
    take(/\balways (?:fails with|raises) (\w+)\((?:'(.*?)'|"(.*?)")?\)/) ?? take(/\braises (\w+)\((?:'(.*?)'|"(.*?)")?\) always/);
  const raises: { readonly raise: Raise; readonly on: readonly unknown[] }[] = [];
  for (;;) {
    const match = take(
      /\braises (\w+)\((?:'(.*?)'|"(.*?)")?\) (?:on|for|at|if event ==) ((?:-?[\d.]+|'[^']*')(?:(?:, ?| and | or )(?:-?[\d.]+|'[^']*'))*)/,
    );
    if (match === undefined) break;
    const on = (match[4] ?? "").split(/, ?| and | or /).map((value) => expression(value)({}));
    raises.push({ raise: { error: match[1] ?? "", message: match[2] ?? match[3] ?? "" }, on });
  }
  const changes = take(/\bevent\.body ?([-+*])= ?([\d.]+)/);
  const result = take(/\b(?:returns|->) ?(?:the )?([^;]+)/);
  const left = rest.replaceAll(/\b(?:async|sync|synchronous|blocking|then|and|else|otherwise|its|it)\b|[\s,;:.]/g, "");
  if (left !== "") throw new UnknownCase(`can't read ${JSON.stringify(left)} in the processor ${JSON.stringify(sentence)}`);
  const source = changes === undefined ? result?.[1] : `{**event, 'body': event.body ${changes[1]} ${changes[2]}}`;
  const evaluate = source === undefined ? undefined : expression(source.trim());
  return {
    sleep: sleep === undefined ? 0 : inMilliseconds(sleep),
    gap: gap === undefined ? 0 : inMilliseconds(gap),
    answer(event, call) {
      if (always !== undefined) throw errorOf({ error: always[1] ?? "", message: always[2] ?? always[3] ?? "" }, call);
      if (failing !== undefined && call <= Number(failing[1]))
        throw errorOf({ error: failing[2] ?? "", message: failing[3] ?? failing[4] ?? "" }, call);
      const raised = raises.find(({ on }) => on.includes(event));
      if (raised !== undefined) throw errorOf(raised.raise, call);
      return evaluate === undefined ? event : evaluate({ event, x: event });
    },
  };
}

function errorOf({ error, message }: Raise, call: number): PythonError {
  return new PythonError(error, message.replaceAll("<k>", String(call)));
}

function inMilliseconds(match: RegExpExecArray): number {
  return Number(match[1]) * (match[2] === "s" ? 1000 : 1);
}
