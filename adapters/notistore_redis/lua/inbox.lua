-- What every script begins with. KEYS are the four keys of an inbox (of several for insert), then, for a write, the
-- key of the call's receipt.
--
-- A row is text, one value to a line: created (characters 1-13), updated (15-27), read (29-41), type (from 43),
-- version, key, and what Lua never looks at. In the sorted sets every score is 0 and a member is created, id
-- (characters 14-49) and type, so that their order is the reading order and filters need no row.

local UNREAD = '-------------'

local function inbox(first)
  return {rows = KEYS[first], all = KEYS[first + 1], unread = KEYS[first + 2], counts = KEYS[first + 3]}
end

local function type_of(row)
  return row:sub(43, row:find('\n', 43, true) - 1)
end

local function is_unread(row)
  return row:sub(29, 41) == UNREAD
end

local function with_read(row, read)
  return row:sub(1, 28) .. read .. row:sub(42)
end

local function member_of(id, row, type)
  return row:sub(1, 13) .. id .. type
end

local function tally(box, field, by)
  if redis.call('HINCRBY', box.counts, field, by) == 0 then
    redis.call('HDEL', box.counts, field)
  end
end

local function add_unread(box, type, member)
  redis.call('ZADD', box.unread, 0, member)
  tally(box, 'unread:' .. type, 1)
end

local function remove_unread(box, type, member)
  redis.call('ZREM', box.unread, member)
  tally(box, 'unread:' .. type, -1)
end

-- Put a row that is already among the rows into its sets and counts.
local function index(box, id, row)
  local type = type_of(row)
  local member = member_of(id, row, type)
  redis.call('ZADD', box.all, 0, member)
  tally(box, 'all:' .. type, 1)
  if is_unread(row) then
    add_unread(box, type, member)
  end
end

local function remove(box, id, row)
  local type = type_of(row)
  local member = member_of(id, row, type)
  redis.call('HDEL', box.rows, id)
  redis.call('ZREM', box.all, member)
  tally(box, 'all:' .. type, -1)
  if is_unread(row) then
    remove_unread(box, type, member)
  end
end

-- Remove what is beyond the newest `keep` and put the ids into `removed`. At most 100 at a time: a large inbox that
-- meets a new limit shrinks write by write, and no single one is slow.
local function trim(box, keep, removed)
  local beyond = keep > 0 and redis.call('ZCARD', box.all) - keep or 0
  if beyond > 0 then
    for _, old in ipairs(redis.call('ZRANGE', box.all, 0, math.min(beyond, 100) - 1)) do
      local id = old:sub(14, 49)
      remove(box, id, redis.call('HGET', box.rows, id))
      removed[#removed + 1] = id
    end
  end
end

-- Do a write once: a client that lost the answer and sends the same call again is given the first one's answer.
local function once(call)
  local receipt = KEYS[#KEYS]
  local answered = redis.call('GET', receipt)
  if answered then
    return cjson.decode(answered)
  end
  local answer = call()
  redis.call('SET', receipt, cjson.encode(answer), 'PX', 120000)
  return answer
end
