-- SPDX-License-Identifier: GPL-3.0-or-later
-- A jog: tells how far the finger has turned it, in turns. Before it stands ADDRESS. The touch itself is a message of the control.

local last = nil

function onValueChanged(key)
  if key == 'touch' then
    last = nil
  elseif key == 'x' then
    local place = self.values.x
    if last ~= nil then
      local turn = place - last
      if turn > 0.5 then turn = turn - 1 elseif turn < -0.5 then turn = turn + 1 end
      if turn ~= 0 then sendOSC({ADDRESS, {{tag = 'f', value = turn}}}) end
    end
    last = place
  end
end
