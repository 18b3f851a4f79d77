-- ARGV: the bound to begin above; what updated must be below; '1' for read rows only; the most to remove.
-- Looks at CHUNK rows, oldest first. Answers the bound to go on from, or '' at the end; then the ids it removed.
return once(function()
  local box, older, only_read, limit = inbox(1), ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
  if not is_settled(box) then
    return 1
  end
  local chunk = redis.call('ZRANGEBYLEX', box.all, ARGV[1], '+', 'LIMIT', 0, CHUNK)
  local ids, rows = find(box, ids_of(chunk), function(row)
    local is_chosen = limit > 0 and row:sub(15, 27) < older and not (only_read and is_unread(row))
    limit = is_chosen and limit - 1 or limit
    return is_chosen
  end)
  remove(box, ids, rows)
  local answer = {#chunk == CHUNK and '(' .. chunk[CHUNK] or ''}
  append(answer, ids)
  return answer, #ids > 0
end)
