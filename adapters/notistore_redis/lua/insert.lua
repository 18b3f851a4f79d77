-- ARGV: keep_last or 0; then for each row which inbox (from 1), id, row.
-- Answers the id that was there already, or ''; then the ids that keep_last removed.
return once(function()
  for i = 2, #ARGV, 3 do
    if redis.call('HEXISTS', inbox(4 * ARGV[i] - 3).rows, ARGV[i + 1]) == 1 then
      return {ARGV[i + 1]}
    end
  end
  local answer = {''}
  for i = 2, #ARGV, 3 do
    local box = inbox(4 * ARGV[i] - 3)
    add(box, ARGV[i + 1], ARGV[i + 2])
    trim(box, tonumber(ARGV[1]), answer)
  end
  return answer
end)
