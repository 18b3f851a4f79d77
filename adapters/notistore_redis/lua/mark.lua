-- ARGV: the time, or the mark of unread rows; ids. Answers how many rows changed from the one state to the other.
return once(function()
  local box, read, marked = inbox(1), ARGV[1], 0
  for i = 2, #ARGV do
    local id = ARGV[i]
    local row = redis.call('HGET', box.rows, id)
    if row and is_unread(row) ~= (read == UNREAD) then
      redis.call('HSET', box.rows, id, with_read(row, read))
      if read == UNREAD then
        add_unread(box, id, row)
      else
        remove_unread(box, id, row)
      end
      marked = marked + 1
    end
  end
  return {marked}
end)
