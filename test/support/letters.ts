import type { DeadLetter } from "../../src/dead-letter.ts";

/** A dead letter of task `test`, as a pipeline would make it. */
export function letterOf(number: number, given: Partial<DeadLetter> = {}): DeadLetter {
  const at = Date.UTC(2026, 0, 1) + number;
  return {
    id: `test:${number}`,
    task: "test",
    product: "test-product",
    step: "decode",
    origin: { system: "kafka", name: "orders", partition: 3 },
    offset: number,
    holds: "record",
    value: Buffer.from(`value ${number}`),
    key: `key ${number % 7}`,
    headers: [["trace", `t${number}`]],
    time: at - 1000,
    error: "SyntaxError",
    message: "the value is no JSON: it is wrong at character 0",
    stack: "SyntaxError: the value is no JSON\n    at decode (index.ts:1:2)",
    attempts: 1,
    firstFailure: at,
    lastFailure: at,
    version: "0.1.0",
    ...given,
  };
}

/** A letter with bytes in a form that can be compared, whether headers came back as text or as bytes. */
export function comparable(letter: DeadLetter): Record<string, unknown> {
  const { value, headers, origin, ...rest } = letter;
  const parts = Object.fromEntries(Object.entries(rest).filter(([, part]) => part !== undefined));
  return {
    ...parts,
    origin: JSON.stringify([origin.system, origin.name, origin.partition, origin.edition]),
    value: value === null ? null : Buffer.from(value).toString("hex"),
    headers: headers?.map(([name, part]) => [name, Buffer.from(part as string).toString("hex")]) ?? [],
  };
}
