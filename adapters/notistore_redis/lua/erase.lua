-- Answers the ids that were there.
return once(function()
  local ids = redis.call('HKEYS', KEYS[1])
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  return ids
end)
