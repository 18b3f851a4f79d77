-- Takes the rows away, to the fifth key, and deletes the rest. Answers how many rows there were. The fifth key is the
-- receipt as well: there is none of an empty inbox.
local box, erased = inbox(1), KEYS[5]
if redis.call('EXISTS', erased) == 0 and redis.call('EXISTS', box.rows) == 1 then
  redis.call('RENAME', box.rows, erased)
  redis.call('HDEL', erased, 'job')
  redis.call('PEXPIRE', erased, RECEIPT_TTL)
end
redis.call('UNLINK', box.all, box.unread, box.counts)
return redis.call('HLEN', erased)
