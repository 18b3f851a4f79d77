-- ARGV: ids. Answers those that were there.
return once(function()
  local box, removed = inbox(1), {}
  for _, id in ipairs(ARGV) do
    local row = redis.call('HGET', box.rows, id)
    if row then
      remove(box, id, row)
      removed[#removed + 1] = id
    end
  end
  return removed
end)
