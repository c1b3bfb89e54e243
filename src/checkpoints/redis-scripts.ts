/**
 * What the Redis store does, each in one atomic step. KEYS are the head (a hash: task, partition, epoch, owner, call, manifest) and
 * the parts (a hash of part by name) of one partition. `owner` is a random token of each claim: after a removal epochs begin anew,
 * and a former owner's must not count as one of these. `call` numbers the saves of an owner: what an old connection still brings
 * after a newer save is left out.
 */

/** ARGV: owner, task, partition. @returns epoch, manifest or nil */
export const CLAIM = `
local epoch = redis.call("HINCRBY", KEYS[1], "epoch", 1)
redis.call("HSET", KEYS[1], "owner", ARGV[1], "task", ARGV[2], "partition", ARGV[3], "call", 0)
return {epoch, redis.call("HGET", KEYS[1], "manifest")}`;

const REFUSE_OTHERS = `
if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then return "lost" end`;

/** ARGV: owner, then name and bytes of each part. */
export const ADD = `${REFUSE_OTHERS}
for index = 2, #ARGV, 2 do redis.call("HSET", KEYS[2], ARGV[index], ARGV[index + 1]) end
return "done"`;

/** ARGV: owner, call, manifest, how many names of dropped parts follow, these, then name and bytes of each part. */
export const SAVE = `${REFUSE_OTHERS}
if tonumber(redis.call("HGET", KEYS[1], "call")) >= tonumber(ARGV[2]) then return "late" end
local last = 4 + tonumber(ARGV[4])
for index = last + 1, #ARGV, 2 do redis.call("HSET", KEYS[2], ARGV[index], ARGV[index + 1]) end
redis.call("HSET", KEYS[1], "manifest", ARGV[3], "call", ARGV[2])
for index = 5, last do redis.call("HDEL", KEYS[2], ARGV[index]) end
return "done"`;

/** ARGV: owner. */
export const FINISH = `
if redis.call("EXISTS", KEYS[1]) == 0 then return "missing" end${REFUSE_OTHERS}
redis.call("UNLINK", KEYS[1], KEYS[2])
return "done"`;

/** ARGV: owner, then the names of the parts to keep. */
export const SWEEP = `${REFUSE_OTHERS}
local kept = {}
for index = 2, #ARGV do kept[ARGV[index]] = true end
for _, name in ipairs(redis.call("HKEYS", KEYS[2])) do
  if not kept[name] then redis.call("HDEL", KEYS[2], name) end
end
return "done"`;
