-- ARGV: the time, or the mark of unread rows; ids. Answers how many rows changed from the one state to the other.
return once(function()
  return by_id(table.concat(ARGV, '\n', 2), ARGV[1])
end)
