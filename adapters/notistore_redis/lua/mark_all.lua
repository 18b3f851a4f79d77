-- ARGV: the time; the newest updated to mark, or ''; types. Answers how many rows were marked.
return once(function()
  local box = inbox(1)
  if not is_settled(box) then
    return 1
  end
  local job = {receipt = KEYS[5], read = ARGV[1], seen = ARGV[2], types = {unpack(ARGV, 3)}, above = '-', changed = 0}
  return begin_job(box, job, mark_slice)
end)
