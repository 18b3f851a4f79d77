-- ARGV: keep_last or 0; then for each row which inbox (from 1), id, row.
-- Answers the id that was there already, or ''; then the ids that keep_last removed.
return once(function()
  for i = 2, #ARGV, 3 do
    if redis.call('HSETNX', inbox(4 * ARGV[i] - 3).rows, ARGV[i + 1], ARGV[i + 2]) == 0 then
      for before = 2, i - 3, 3 do
        redis.call('HDEL', inbox(4 * ARGV[before] - 3).rows, ARGV[before + 1])
      end
      return {ARGV[i + 1]}
    end
  end
  local answer, keep, ids, rows = {''}, tonumber(ARGV[1]), {}, {}
  for i = 2, #ARGV, 3 do
    ids[#ids + 1] = ARGV[i + 1]
    rows[#rows + 1] = ARGV[i + 2]
    if ARGV[i + 3] ~= ARGV[i] or #ids == CHUNK then -- the next row is of another inbox
      local box = inbox(4 * ARGV[i] - 3)
      index(box, ids, rows)
      for _ = 1, keep > 0 and #ids or 0 do
        trim(box, keep, answer)
      end
      ids, rows = {}, {}
    end
  end
  return answer, true
end)
