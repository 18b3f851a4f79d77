-- Deleting or marking the rows of many ids, CHUNK ids in a slice. Such a job has the fields read (the time, or the mark
-- of unread rows; none deletes), ids (a line each: those it has changed, then those still to come) and from (where the
-- latter begin).

local function by_id_slice(box, job)
  local ids, next = {}, job.from
  while #ids < CHUNK do
    local first, last = job.ids:find('[^\n]+', next)
    if not first then
      break
    end
    ids[#ids + 1] = job.ids:sub(first, last)
    next = last + 1
  end
  local found, rows
  if job.read then
    found, rows = find(box, ids, function(row)
      return is_unread(row) ~= (job.read == UNREAD)
    end)
    local change = job.read == UNREAD and add or discard
    change(box, 'unread', (members_of(found, rows)))
    store_read(box, found, rows, job.read)
  else
    found, rows = find(box, ids)
    remove(box, found, rows)
  end
  found[#found + 1] = ''
  local changed = job.ids:sub(1, job.from - 1) .. table.concat(found, '\n')
  job.changed = job.changed + #found - 1
  job.ids = changed .. job.ids:sub(next)
  job.from = #changed + 1
  if job.ids:find('[^\n]', job.from) then
    return nil
  end
  if job.read then
    return {job.changed}
  end
  local removed = {}
  for id in job.ids:gmatch('[^\n]+') do
    removed[#removed + 1] = id
  end
  return removed
end

-- Do a call for these ids, within once().
local function by_id(ids, read)
  return begin_job(inbox(1), {receipt = KEYS[5], read = read, ids = ids, from = 1, changed = 0}, by_id_slice)
end
