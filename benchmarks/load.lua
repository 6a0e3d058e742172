-- POST one prepared body after the other: wrk … -- FOLDER COUNT CONTENT_TYPE
-- FOLDER holds the bodies as files named 0 to COUNT - 1. Prints JSON, times in milliseconds.

local requests = {}
local last = 0

function init(args)
  local headers = { ["Content-Type"] = args[3] }
  for number = 1, tonumber(args[2]) do
    local file = assert(io.open(args[1] .. "/" .. (number - 1), "rb"))
    requests[number] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"seconds": %.6f, "requests": %d, "refused": %d, "failed": %d, '
      .. '"p50": %.3f, "p90": %.3f, "p99": %.3f, "max": %.3f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3))
end
