-- wrk script. Arguments: a file with one body per line, and a word that is this run's own.
-- Each request takes the next visitor's body and puts an event id of its own in it.
local bodies, run, count = {}, "", 0
local headers = { ["Content-Type"] = "text/plain; charset=UTF-8" }
local threads = {}
wrong, first_wrong = 0, ""

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  for line in io.lines(args[1]) do
    local before, after = line:match("^(.*)@ID@(.*)$")
    table.insert(bodies, { before, after })
  end
  run = args[2]
end

function request()
  count = count + 1
  local body = bodies[count % #bodies + 1]
  local id = string.format("%s-%012d", run, count)
  return wrk.format("POST", nil, headers, body[1] .. id .. body[2])
end

-- 207 is an answer with faults in it.
function response(status, _, body)
  if status == 200 then return end
  wrong = wrong + 1
  if first_wrong == "" then first_wrong = status .. " " .. body:sub(1, 300) end
end

function done(summary, latency)
  local all = 0
  for _, thread in ipairs(threads) do
    all = all + thread:get("wrong")
    if thread:get("first_wrong") ~= "" then io.write(thread:get("first_wrong"), "\n") end
  end
  local e = summary.errors
  io.write(string.format(
    "PERSO %d %d %d %d\n", summary.requests, summary.duration, all,
    e.connect + e.read + e.write + e.timeout))
end
