-- KEYS: rows. ARGV: a cursor of HSCAN. Answers the next one, then some of the ids.
local cursor, found = unpack(redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 1000))
local answer = {cursor}
for i = 1, #found, 2 do
  answer[#answer + 1] = found[i]
end
return answer
