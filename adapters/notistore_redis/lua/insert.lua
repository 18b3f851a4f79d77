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
  local answer, keep = {''}, tonumber(ARGV[1])
  for i = 2, #ARGV, 3 do
    local box = inbox(4 * ARGV[i] - 3)
    index(box, ARGV[i + 1], ARGV[i + 2])
    trim(box, keep, answer)
  end
  return answer
end)
