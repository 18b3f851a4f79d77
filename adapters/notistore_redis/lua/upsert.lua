-- ARGV: keep_last or 0; '1' to renotify; id; row. Answers the lines of the row that this script decides: created,
-- read, version, key; then the ids that keep_last removed.
return once(function()
  local box, id, row = inbox(1), ARGV[3], ARGV[4]
  local LINES = '^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$'
  local created, updated, read, type, version, key, rest = row:match(LINES)
  local old = redis.call('HGET', box.rows, id)
  if old then
    local old_read, old_version, _
    created, _, old_read, _, old_version, key = old:match(LINES)
    version = string.format('%d', old_version + 1)
    read = ARGV[2] == '1' and UNREAD or old_read
    row = table.concat({created, updated, read, type, version, key, rest}, '\n')
    remove(box, {id}, {old})
  end
  redis.call('HSET', box.rows, id, row)
  index(box, {id}, {row})
  local answer = {created, read, version, key}
  trim(box, tonumber(ARGV[1]), answer)
  return answer, true
end)
