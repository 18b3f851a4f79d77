-- Do one slice of an inbox's pending work: of a long call, or of rebuilding the inbox from its rows after Redis
-- evicted one of its other keys. Answers 'settled' where there was nothing to do; else 'working' or, at the beginning
-- of a rebuilding, 'rebuilding' or, where the rows are what was evicted, 'lost': call again.
local box = inbox(1)
local job = redis.call('HGET', box.counts, 'job')

if not job then
  if is_settled(box) then
    return 'settled'
  end
  redis.call('UNLINK', box.all, box.unread, box.counts)
  redis.call('HDEL', box.rows, 'job')
  if redis.call('EXISTS', box.rows) == 0 then
    return 'lost'
  end
  keep_job(box, {cursor = '0'})
  return 'rebuilding'
end

job = cjson.decode(job)
redis.call('HDEL', box.counts, 'job') -- a deletion first, see remove()
local is_done
if job.cursor then
  local found
  local ids, rows = {}, {}
  job.cursor, found = unpack(redis.call('HSCAN', box.rows, job.cursor, 'COUNT', CHUNK / 2))
  for i = 1, #found, 2 do
    local id, row = found[i], found[i + 1]
    if id ~= 'job' and not redis.call('ZSCORE', box.all, row:sub(1, 13) .. id .. type_of(row)) then -- may come twice
      ids[#ids + 1] = id
      rows[#rows + 1] = row
    end
  end
  index(box, ids, rows)
  is_done = job.cursor == '0'
else
  job.ids = redis.call('HGET', box.counts, 'ids') or nil
  local answer = (job.ids and by_id_slice or mark_slice)(box, job)
  is_done = answer ~= nil
  if is_done then
    redis.call('SET', job.receipt, cjson.encode(answer), 'PX', RECEIPT_TTL)
  end
end
if is_done then
  end_job(box)
else
  keep_job(box, job)
end
return 'working'
