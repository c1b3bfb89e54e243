import assert from "node:assert/strict";
import { it } from "node:test";

import { assignRoundRobin } from "../../src/kafka/group-assignment.ts";

it("deals partitions out in turn, whatever the order of members and topics", () => {
  const members = [
    { id: "b", topics: ["x", "y"] },
    { id: "a", topics: ["y", "x"] },
  ];
  const counts = new Map([
    ["y", 2],
    ["x", 3],
  ]);
  const shares = assignRoundRobin(members, counts);
  assert.deepEqual(Object.fromEntries(shares), {
    a: [
      { topic: "x", partitions: [0, 2] },
      { topic: "y", partitions: [1] },
    ],
    b: [
      { topic: "x", partitions: [1] },
      { topic: "y", partitions: [0] },
    ],
  });
});

it("gives nobody a topic that it did not ask for, and nothing to members that are too many", () => {
  const members = [
    { id: "a", topics: ["x"] },
    { id: "b", topics: ["y"] },
    { id: "c", topics: ["y"] },
  ];
  const shares = assignRoundRobin(
    members,
    new Map([
      ["x", 2],
      ["y", 1],
      ["z", 5],
    ]),
  );
  assert.deepEqual(Object.fromEntries(shares), { a: [{ topic: "x", partitions: [0, 1] }], b: [{ topic: "y", partitions: [0] }], c: [] });
});
