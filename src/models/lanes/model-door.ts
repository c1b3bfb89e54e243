/**
 * What models import from `millrace`, without all that reads and writes streams: a thread or process for models is to be there soon
 * and small. The same things as `millrace` exports: see light-door.ts.
 */
export { DataError, InfrastructureError, MillraceError, ModelError, NotReadyError, PlanError } from "../../errors.ts";
export { defineModel } from "../../model.ts";
export { failed } from "../../pipeline/infer.ts";
export { RetryableError } from "../../pipeline/retry.ts";
export { decode, encode } from "../../values.ts";
