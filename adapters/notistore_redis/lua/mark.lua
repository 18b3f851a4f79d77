-- ARGV: the time, or the mark of unread rows; ids. Answers how many rows changed from the one state to the other.
return once(function()
  local box, read, marked = inbox(1), ARGV[1], 0
  for i = 2, #ARGV do
    local id = ARGV[i]
    local row = redis.call('HGET', box.rows, id)
    if row and is_unread(row) ~= (read == UNREAD) then
      local type = type_of(row)
      local change = read == UNREAD and add_unread or remove_unread
      redis.call('HSET', box.rows, id, with_read(row, read))
      change(box, type, member_of(id, row, type))
      marked = marked + 1
    end
  end
  return {marked}
end)
