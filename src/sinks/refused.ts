import type { Refuse } from "../contracts.ts";

/** Where nobody says what becomes of an event that a sink will never take: the write ends there. */
export const throwRefused: Refuse = (_event, error) => {
  throw error;
};
