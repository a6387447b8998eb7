-- wrk's script: callbacks of STREAMS streams in turn, a third about the push, the others about the script.
--
-- SIGNATURES, if set, holds `time:secret` of MSS_A_HEAD with spaces between, one for each second from the
-- first on: a request carries the one of its second. The end prints one line of JSON.

local streams = tonumber(os.getenv("STREAMS"))
local states = { "CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED" }
local push = '{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": "{\\"room_id\\": \\"%032x\\", '
    .. '\\"job_id\\": \\"%032x\\", \\"output_url\\": \\"rtmp://push.example.com/live/a\\", '
    .. '\\"stream_key\\": \\"k\\", \\"state\\": \\"%s\\"}"}'
local switch = '{"event_type": "SHOOT_SCRIPT_SWITCH", "message": "{\\"room_id\\": \\"%032x\\", '
    .. '\\"job_id\\": \\"%032x\\", \\"scene_script_name\\": \\"Product 1\\", '
    .. '\\"shoot_script_sequence_no\\": \\"%d\\", \\"shoot_script_title\\": \\"Paragraph\\"}"}'

local first, signed = nil, {}
for time, secret in (os.getenv("SIGNATURES") or ""):gmatch("(%x+):(%x+)") do
  first = first or tonumber(time, 16)
  signed[#signed + 1] = {
    ["content-type"] = "application/json", ["x-hw-mss-time"] = time, ["x-hw-mss-secret"] = secret,
  }
end
local unsigned = { ["content-type"] = "application/json" }

local sent = 0
function request()
  local stream, step = sent % streams + 1, math.floor(sent / streams)
  sent = sent + 1
  local pushes, rest = math.floor(step / 3), step % 3
  local body
  if rest == 0 then
    body = push:format(stream, stream, states[pushes % #states + 1])
  else
    body = switch:format(stream, stream, (2 * pushes + rest - 1) % 12 + 1)
  end
  local headers = unsigned
  if first then
    headers = signed[math.max(1, math.min(#signed, os.time() - first + 1))]
  end
  return wrk.format("POST", nil, headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
