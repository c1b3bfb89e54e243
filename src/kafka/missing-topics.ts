import { NotReadyError } from "../errors.ts";

/** Topics that are to be read do not exist. */
export class MissingTopics extends NotReadyError {
  readonly topics: readonly string[];

  constructor(topics: readonly string[]) {
    const names = topics.map((topic) => JSON.stringify(topic)).join(", ");
    const what = topics.length === 1 ? `topic ${names} does not exist` : `topics ${names} do not exist`;
    super(`Kafka: ${what}; create it, or set create: true on the kafka source`);
    this.topics = topics;
  }
}
