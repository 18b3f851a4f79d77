-- ARGV: the bound to begin above; what updated must be below; '1' for read rows only; the most to remove.
-- Looks at 500 rows, oldest first. Answers the bound to go on from, or '' at the end; then the ids it removed.
return once(function()
  local box, older, only_read, limit = inbox(1), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
  local slice = redis.call('ZRANGEBYLEX', box.all, ARGV[1], '+', 'LIMIT', 0, 500)
  local answer = {#slice == 500 and '(' .. slice[500] or ''}
  for _, each in ipairs(slice) do
    local id = each:sub(14, 49)
    local row = redis.call('HGET', box.rows, id)
    if row:sub(15, 27) < older and not (only_read and is_unread(row)) and #answer <= limit then
      remove(box, id, row)
      answer[#answer + 1] = id
    end
  end
  return answer
end)
