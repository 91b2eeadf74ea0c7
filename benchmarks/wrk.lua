-- Chats at a fixed rate: each connection pauses for a random time around `pause` milliseconds
-- between an answer and its next request. Prints JSON, times in seconds.
local pause, model
function init(arguments)
  pause, model = tonumber(arguments[1]), arguments[2]
  math.randomseed(7)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer sk-none"
  wrk.body = '{"model":"' .. model .. '","messages":[{"role":"user","content":"A kit that works at 3 a.m."}]}'
end
function delay()
  return math.random(0, 2 * pause)
end
function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '{"p50":%.6f,"p99":%.6f,"achieved":%.2f,"sent":%d,"refused":%d}\n',
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    summary.requests / summary.duration * 1e6, summary.requests,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout
  ))
end
