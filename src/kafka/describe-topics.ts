import type { TopicInfo } from "./driver.ts";
import { MissingTopics } from "./missing-topics.ts";

/**
 * Asks for topics one by one: a reply, or an error, about several does not tell which of them it is about.
 * @param describe tells one topic; undefined when it is missing
 * @throws {MissingTopics} naming all that are missing
 */
export async function describeEach(
  names: readonly string[],
  describe: (name: string) => Promise<TopicInfo | undefined>,
): Promise<ReadonlyMap<string, TopicInfo>> {
  const topics = new Map<string, TopicInfo>();
  const missing: string[] = [];
  for (const name of names) {
    const topic = await describe(name);
    if (topic === undefined) missing.push(name);
    else topics.set(name, topic);
  }
  if (missing.length > 0) throw new MissingTopics(missing);
  return topics;
}
