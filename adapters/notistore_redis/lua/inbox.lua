-- What every script begins with. KEYS are the four keys of an inbox (of several for insert), then, for a write, the
-- key of the call's receipt.
--
-- A row is text, one value to a line: created (characters 1-13), updated (15-27), read (29-41), type (from 43),
-- version, key, and what Lua never looks at. In the sorted sets every score is 0 and a member is created, id
-- (characters 14-49) and type, so that their order is the reading order and filters need no row. The counts are fields
-- all:TYPE and unread:TYPE, with the totals all: and unread:.
--
-- Work too long for one script is done in slices by settle.lua. Meanwhile the field `job` of the counts holds the state
-- of that work, and the rows have a field `job` too. Every call settles the inbox before it looks at it, so no call sees
-- the work half done.

local UNREAD = '-------------'
local RECEIPT_TTL = 120000 -- milliseconds

local function inbox(first)
  return {rows = KEYS[first], all = KEYS[first + 1], unread = KEYS[first + 2], counts = KEYS[first + 3]}
end

-- Whether no work is pending and Redis has evicted none of the keys: it evicts whole ones, so their sizes would differ.
-- They differ from then on, whatever is written, so that only calls that rely on the sets need to look.
local function is_settled(box)
  local all, unread, job = unpack(redis.call('HMGET', box.counts, 'all:', 'unread:', 'job'))
  local rows = tonumber(all or 0)
  return not job
    and redis.call('HLEN', box.rows) == rows
    and redis.call('ZCARD', box.all) == rows
    and redis.call('ZCARD', box.unread) == tonumber(unread or 0)
end

local function type_of(row)
  return row:sub(43, row:find('\n', 43, true) - 1)
end

local function is_unread(row)
  return row:sub(29, 41) == UNREAD
end

local CHUNK = 1000 -- how many rows one command names

-- Add to the counts of the types of these members, and to the total.
local function tally(box, set, members, by)
  local changes = {[''] = #members}
  for _, member in ipairs(members) do
    local type = member:sub(50)
    changes[type] = (changes[type] or 0) + 1
  end
  for type, n in pairs(changes) do
    if redis.call('HINCRBY', box.counts, set .. ':' .. type, n * by) == 0 then
      redis.call('HDEL', box.counts, set .. ':' .. type)
    end
  end
end

-- Add members that are not there yet to the set 'all' or 'unread', and count them.
local function add(box, set, members)
  if #members > 0 then
    local scored = {}
    for i, member in ipairs(members) do
      scored[2 * i - 1] = 0
      scored[2 * i] = member
    end
    redis.call('ZADD', box[set], unpack(scored))
    tally(box, set, members, 1)
  end
end

local function discard(box, set, members)
  if #members > 0 then
    redis.call('ZREM', box[set], unpack(members))
    tally(box, set, members, -1)
  end
end

-- What rows are in the set 'all', and in the set 'unread'.
local function members_of(ids, rows)
  local all, unread = {}, {}
  for i, row in ipairs(rows) do
    all[i] = row:sub(1, 13) .. ids[i] .. type_of(row)
    if is_unread(row) then
      unread[#unread + 1] = all[i]
    end
  end
  return all, unread
end

-- Put rows that are already stored into the sets and counts.
local function index(box, ids, rows)
  local all, unread = members_of(ids, rows)
  add(box, 'all', all)
  add(box, 'unread', unread)
end

-- What begins by deleting also runs when Redis has reached its maxmemory: it checks a script's first write only.
local function remove(box, ids, rows)
  local all, unread = members_of(ids, rows)
  if #ids > 0 then
    redis.call('HDEL', box.rows, unpack(ids))
  end
  discard(box, 'all', all)
  discard(box, 'unread', unread)
end

-- Write down when rows were read.
local function store_read(box, ids, rows, read)
  local values = {}
  for i, row in ipairs(rows) do
    values[2 * i - 1] = ids[i]
    values[2 * i] = row:sub(1, 28) .. read .. row:sub(42)
  end
  if #values > 0 then
    redis.call('HSET', box.rows, unpack(values))
  end
end

-- The ids and rows of those of these at most CHUNK ids that are there, each once; where `wanted` says so of the row.
local function find(box, ids, wanted)
  local found, rows, is_known = {}, {}, {}
  for i, row in ipairs(#ids > 0 and redis.call('HMGET', box.rows, unpack(ids)) or {}) do
    if row and not is_known[ids[i]] and (not wanted or wanted(row)) then
      is_known[ids[i]] = true
      found[#found + 1] = ids[i]
      rows[#rows + 1] = row
    end
  end
  return found, rows
end

local function ids_of(members)
  local ids = {}
  for i, member in ipairs(members) do
    ids[i] = member:sub(14, 49)
  end
  return ids
end

local function append(list, more)
  for _, each in ipairs(more) do
    list[#list + 1] = each
  end
end

-- Remove what is beyond the newest `keep` and put the ids into `removed`. At most 100 at a time: a large inbox that
-- meets a new limit shrinks write by write, and no single one is slow.
local function trim(box, keep, removed)
  local beyond = keep > 0 and redis.call('ZCARD', box.all) - keep or 0
  if beyond > 0 then
    local ids, rows = find(box, ids_of(redis.call('ZRANGE', box.all, 0, math.min(beyond, 100) - 1)))
    remove(box, ids, rows)
    append(removed, ids)
  end
end
