-- Marking unread rows read, in slices. A job of marking has the fields read, seen, types and above (the bound to go on
-- from).

local CHUNKS = 2 -- how many times CHUNK rows one script looks at

local function mark_slice(box, job)
  local is_wanted = {}
  for _, type in ipairs(job.types) do
    is_wanted[type] = true
  end
  local function wanted(row)
    return (job.seen == '' or row:sub(15, 27) <= job.seen) and (#job.types == 0 or is_wanted[type_of(row)])
  end
  for _ = 1, CHUNKS do
    local chunk = redis.call('ZRANGEBYLEX', box.unread, job.above, '+', 'LIMIT', 0, CHUNK)
    local ids, rows = find(box, ids_of(chunk), wanted)
    if #ids > 0 and #ids == #chunk then -- far cheaper than one by one
      redis.call('ZREMRANGEBYLEX', box.unread, '[' .. chunk[1], '[' .. chunk[#chunk])
      tally(box, 'unread', chunk, -1)
    else
      discard(box, 'unread', (members_of(ids, rows)))
    end
    store_read(box, ids, rows, job.read)
    job.changed = job.changed + #ids
    if #chunk < CHUNK then
      return {job.changed}
    end
    job.above = '(' .. chunk[#chunk]
  end
  return nil
end
