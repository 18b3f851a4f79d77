-- ARGV: 'all' or 'unread'; the bound to begin below; how many to pass over; the most to return; types.
-- Answers the bound to go on from, or '' at the end; how many are still to be passed over; then id, row, id, row...
-- The answer is 1 where the inbox is to be settled first.
-- One call looks at no more than 10,000 members, so a rare type in a large inbox does not hold others up.
local box = inbox(1)
if not is_settled(box) then
  return 1
end
local set, bound, skip, limit = box[ARGV[1]], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local members = {}
if #ARGV == 4 then
  members = redis.call('ZREVRANGEBYLEX', set, bound, '-', 'LIMIT', skip, limit)
  bound = ''
else
  local wanted, left, looked = {}, 0, 0
  for i = 5, #ARGV do
    wanted[ARGV[i]] = true
    left = left + (redis.call('HGET', box.counts, ARGV[1] .. ':' .. ARGV[i]) or 0)
  end
  while #members < limit and left > 0 and looked < 10000 do
    local slice = redis.call('ZREVRANGEBYLEX', set, bound, '-', 'LIMIT', 0, 500)
    for _, each in ipairs(slice) do
      if #members < limit and wanted[each:sub(50)] then
        left = left - 1
        if skip > 0 then
          skip = skip - 1
        else
          members[#members + 1] = each
        end
      end
    end
    left = #slice == 500 and left or 0
    looked = looked + #slice
    bound = '(' .. (slice[#slice] or '')
  end
  if #members == limit or left == 0 then
    bound = ''
  end
end
local answer = {bound, skip}
for _, each in ipairs(members) do
  local id = each:sub(14, 49)
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HGET', box.rows, id)
end
return answer
