-- ARGV: the time; the newest updated to mark, or ''; types. Answers how many rows were marked.
return once(function()
  local box, read, seen = inbox(1), ARGV[1], ARGV[2]
  local wanted = {}
  for i = 3, #ARGV do
    wanted[ARGV[i]] = true
  end
  local left, marked = 0, 0 -- how many stay unread, which are the first of the set; how many do not
  repeat
    local slice = redis.call('ZRANGE', box.unread, left, left + 999)
    local ids = {}
    for i, each in ipairs(slice) do
      ids[i] = each:sub(14, 49)
    end
    local rows = #ids > 0 and redis.call('HMGET', box.rows, unpack(ids)) or {}
    local values, gone, types = {}, {}, {}
    for i, row in ipairs(rows) do
      local type = slice[i]:sub(50)
      if (#ARGV == 2 or wanted[type]) and (seen == '' or row:sub(15, 27) <= seen) then
        values[#values + 1] = ids[i]
        values[#values + 1] = with_read(row, read)
        gone[#gone + 1] = slice[i]
        types[type] = (types[type] or 0) + 1
      end
    end
    if #gone > 0 then
      redis.call('HSET', box.rows, unpack(values))
      if #gone == #slice then -- far cheaper than one by one
        redis.call('ZREMRANGEBYRANK', box.unread, left, left + #slice - 1)
      else
        redis.call('ZREM', box.unread, unpack(gone))
      end
      for type, n in pairs(types) do
        tally(box, 'unread:' .. type, -n)
      end
    end
    left = left + #slice - #gone
    marked = marked + #gone
  until #slice < 1000
  return {marked}
end)
