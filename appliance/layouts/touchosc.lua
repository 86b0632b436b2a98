-- SPDX-License-Identifier: GPL-3.0-or-later
-- The surface's script, at its root. Before it stand TOKEN, LISTEN, SUBSCRIBE, COLOURS and ROWS, written by the box.
-- It says /hello when the layout is opened and every five seconds, keeps what the box says away from a control while a
-- finger is on it and shows it when the finger is gone, draws lamps, names and values, and tells when the box is not heard.
-- A row is {address, control, how, first, second, places, unit, label, colour, ink}; how says what is shown, ink is the label that
-- turns black where its ground is bright.

local HELLO_MS, LOOK_MS, DIP_MS, SILENCE_MS = 5000, 50, 90, 12000
local NO_ANSWER = 'No answer from the box. Look at Connections, OSC: its name, its port, and receive port ' .. LISTEN .. '.'

local shows, controls, pads = {}, {}, {}   -- rows by address, controls by name, pads by control
local faders, held, silent = {}, {}, {}    -- faders with a value beside them; rows and values that wait; frames of silence
local switches = {}                        -- rows of switches, with what their label was drawn for
local hello_at, look_at, beat_at = -HELLO_MS, 0, -DIP_MS
local heard_at, alone = nil, false

local function now() return getMillis() end

local function hello()
  hello_at = now()
  local port = {tag = 'i', value = LISTEN}
  if TOKEN == '' then
    sendOSC({'/hello', {port}})
  else
    sendOSC({'/hello', {{tag = 's', value = TOKEN}, port}})
  end
  for i = 1, #SUBSCRIBE do
    sendOSC({'/subscribe', {{tag = 's', value = SUBSCRIBE[i]}, port}})
  end
end

local function parts(hex, light)
  local function part(at) return tonumber(string.sub(hex, at, at + 1), 16) / 255 * light end
  return part(2), part(4), part(6)
end

local function shade(hex, light)
  local red, green, blue = parts(hex, light)
  return Color(red, green, blue, 1)
end

local function is_colour(text)
  return type(text) == 'string' and string.match(text, '^#%x%x%x%x%x%x$') ~= nil
end

local function words(row, value)
  if type(value) ~= 'number' then return tostring(value) end
  local text = string.format('%.' .. (row.places or 0) .. 'f', value)
  if row.unit ~= nil and row.unit ~= '' then text = text .. ' ' .. row.unit end
  return text
end

local function say(name, text)
  local label = name ~= nil and controls[name] or nil
  if label ~= nil and label.values.text ~= text then label.values.text = text end
end

-- What the script itself has to say stands where the box's messages do.
local function notice(text)
  local rows = shows['/system/message'] or {}
  for i = 1, #rows do say(rows[i].name, text) end
end

local function number(value)
  if value == true or value == 'on' or value == 'true' then return 1 end
  if value == false or value == 'off' or value == 'false' then return 0 end
  return tonumber(value)
end

-- The box's value goes to a control without being sent back: its messages are off for the next two frames.
local function put(row, value)
  local given = number(value)
  if given == nil then return end
  local messages = row.control.messages.OSC
  for i = 1, #messages do messages[i].send = false end
  silent[row.name] = 2
  local span = row.second - row.first
  row.control.values.x = math.max(0, math.min(1, (given - row.first) / span))
end

local function write_on(name, hex, level)
  local label = name ~= nil and controls[name] or nil
  if label == nil then return end
  local red, green, blue = parts(hex, level)
  local bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
  label.textColor = bright and Color(0, 0, 0, 1) or Color(1, 1, 1, 1)
end

local function light(row, on)
  local level = on and 1 or 0.35
  row.control.color = shade(row.hex, level)
  write_on(row.ink, row.hex, level)
end

local SHADES = {empty = 0.12, loaded = 0.45, queued = 0.9, playing = 1, stopping = 0.9, missing = 0.9}

local function draw(pad)
  local state, at = pad.state or 'empty', now()
  local level = SHADES[state] or 0.45
  if state == 'queued' and at % 250 < 125 then level = 0.3 end
  if state == 'stopping' and at % 1000 < 500 then level = 0.3 end
  if state == 'missing' and at % 2000 > 200 and (at % 2000 < 400 or at % 2000 > 600) then level = 0.2 end
  if state == 'playing' and at - beat_at < DIP_MS then level = 0.6 end
  local hex = COLOURS[pad.role or 'none'] or COLOURS.none
  if is_colour(pad.colour) then hex = pad.colour end
  if state == 'missing' then hex = COLOURS.red end
  if level ~= pad.level or hex ~= pad.hex then
    pad.level, pad.hex = level, hex
    pad.control.color = shade(hex, level)
    write_on(pad.title, hex, level)
    write_on(pad.word, hex, level)
  end
end

local show = {}

-- A fader or a switch. True: a finger is on it, so nobody else may set it.
function show.x(row, value)
  local shown = number(value)
  if shown ~= nil and not row.control.values.touch then say(row.label, words(row, shown)) end
  if row.control.values.touch then
    held[row.name] = {row = row, value = value}
    return true
  end
  held[row.name] = nil
  return false
end

function show.text(row, value)
  say(row.name, words(row, value))
end

function show.flag(row, value)
  say(row.name, number(value) == 1 and row.label or '')
end

function show.name(row, value)
  say(row.name, value ~= '' and tostring(value) or row.label)
end

function show.same(row, value)
  local same = value == row.first
  if type(row.first) == 'number' then same = number(value) ~= nil and math.abs(number(value) - row.first) < 1e-6 end
  light(row, same)
end

function show.on(row, value)
  local given = number(value)
  light(row, given ~= nil and given > 0)
end

-- A place in seconds; below 0 there is none.
function show.there(row, value)
  local given = number(value)
  light(row, given ~= nil and given >= 0)
end

function show.meter(row, value)
  row.control.values.x = math.max(0, math.min(1, number(value) or 0))
end

function show.state(row, value)
  local pad = pads[row.name]
  pad.state = value
  say(row.label, value ~= 'empty' and value ~= 'loaded' and tostring(value) or '')
  draw(pad)
end

function show.role(row, value)
  pads[row.name].role = value
  draw(pads[row.name])
end

function show.colour(row, value)
  pads[row.name].colour = value
  draw(pads[row.name])
end

local function walk(control)
  if control.name ~= nil then controls[control.name] = control end
  for i = 1, #control.children do walk(control.children[i]) end
end

function init()
  walk(self)
  for i = 1, #ROWS do
    local given = ROWS[i]
    local row = {address = given[1], name = given[2], how = given[3], first = given[4], second = given[5], places = given[6],
                 unit = given[7], label = given[8], hex = given[9], ink = given[10], control = controls[given[2]]}
    if row.control ~= nil then
      shows[row.address] = shows[row.address] or {}
      table.insert(shows[row.address], row)
      if row.how == 'x' and row.label ~= nil then table.insert(faders, row) end
      if row.how == 'x' and row.ink ~= nil then table.insert(switches, row) end
      if row.how == 'state' then pads[row.name] = {control = row.control, word = row.label, title = row.ink} end
    end
  end
  heard_at = now()
  hello()
end

function onReceiveOSC(message, connections)
  local rows, arguments = shows[message[1]], message[2]
  heard_at = now()
  if alone then
    alone = false
    notice('')
  end
  if message[1] == '/error' and arguments ~= nil and #arguments > 0 then notice(tostring(arguments[#arguments].value)) end
  if rows == nil or arguments == nil or #arguments == 0 then return false end
  local value, touched = arguments[1].value, false
  if message[1] == '/clock/beat' then beat_at = now() end
  for i = 1, #rows do
    if show[rows[i].how](rows[i], value) then touched = true end
  end
  if touched then  -- the message ends here; others with the same address get the value from us
    for i = 1, #rows do
      if rows[i].how == 'x' and not rows[i].control.values.touch then put(rows[i], value) end
    end
  end
  return touched
end

function update()
  local at = now()
  if at - hello_at >= HELLO_MS then hello() end
  if not alone and at - heard_at > SILENCE_MS then
    alone = true
    notice(NO_ANSWER)
  end
  for name, frames in pairs(silent) do
    if frames > 0 then
      silent[name] = frames - 1
    else
      silent[name] = nil
      local messages = controls[name].messages.OSC
      for i = 1, #messages do messages[i].send = true end
    end
  end
  for name, waiting in pairs(held) do
    if not waiting.row.control.values.touch then
      held[name] = nil
      put(waiting.row, waiting.value)
      say(waiting.row.label, words(waiting.row, number(waiting.value)))
    end
  end
  if at - look_at < LOOK_MS then return end
  look_at = at
  for i = 1, #faders do
    local row = faders[i]
    if row.control.values.touch then
      say(row.label, words(row, row.first + row.control.values.x * (row.second - row.first)))
    end
  end
  for i = 1, #switches do
    local row = switches[i]
    local on = row.control.values.x > 0.5
    if on ~= row.drawn then
      row.drawn = on
      write_on(row.ink, row.hex, on and 1 or 0.35)
    end
  end
  for _, pad in pairs(pads) do
    if pad.state ~= nil and pad.state ~= 'empty' and pad.state ~= 'loaded' then draw(pad) end
  end
end
