-- Work that goes on in later scripts: see settle.lua. A slice of a job returns the answer of the call if it was the last
-- one, else nil; every job has the fields receipt (of the call) and changed (how many rows it has changed).

-- Keep the state of a job; its ids, which may be many, in a field of their own. Deletes first, see remove().
local function keep_job(box, job)
  local ids = job.ids
  job.ids = nil
  redis.call('HDEL', box.counts, 'job')
  redis.call('HSET', box.counts, 'job', cjson.encode(job))
  if ids then
    redis.call('HSET', box.counts, 'ids', ids)
  end
  redis.call('HSET', box.rows, 'job', '')
end

local function end_job(box)
  redis.call('HDEL', box.counts, 'job', 'ids')
  redis.call('HDEL', box.rows, 'job')
end

-- Do the first slice of a job within once(). If that was not all, the inbox is to be settled, and the receipt will have
-- the answer.
local function begin_job(box, job, do_slice)
  local answer = do_slice(box, job)
  if answer then
    return answer, job.changed > 0
  end
  keep_job(box, job)
  return 1
end
