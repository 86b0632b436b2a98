/*{
  "ISFVSN": "2",
  "DESCRIPTION": "Mountains of the last seconds of sound, flying towards us",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio", "History"],
  "INPUTS": [
    { "NAME": "height", "TYPE": "float", "MIN": 0.1, "MAX": 1.2, "DEFAULT": 0.55, "LABEL": "Height" },
    { "NAME": "flight", "TYPE": "float", "MIN": 4.0, "MAX": 18.0, "DEFAULT": 11.0, "LABEL": "Speed of flight" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioHigh", "TYPE": "float" },
    { "NAME": "barPhase", "TYPE": "float" },
    { "NAME": "audioBands", "TYPE": "audioFFT" }
  ],
  "PASSES": [
    { "TARGET": "history", "PERSISTENT": true, "FLOAT": true, "WIDTH": "64", "HEIGHT": "32" },
    {}
  ]
}*/

const float ROWS = 32.0;

vec3 tint(float t) {
  vec3 wheel = clamp(abs(fract(t + hue + vec3(0.5, 0.1666667, 0.8333333)) * 6.0 - 3.0) - 1.0, 0.0, 1.0);
  return mix(vec3(1.0), wheel, 0.82);
}

// Row 0 is now; all rows move back by one when the flight has passed another row.
vec4 remember() {
  float row = floor(gl_FragCoord.y);
  float moved = floor(TIME * flight) - floor((TIME - TIMEDELTA) * flight);
  vec2 here = isf_FragNormCoord;
  if (row < 0.5) {
    float mirrored = abs(here.x * 2.0 - 1.0);
    float now = IMG_NORM_PIXEL(audioBands, vec2(mirrored * 0.8 + 0.01, 0.5)).r;
    float before = IMG_NORM_PIXEL(history, here).r;
    return vec4(mix(before, now, 0.6), 0.0, 0.0, 1.0);
  }
  vec2 from = vec2(here.x, (row + 0.5 - min(moved, row)) / ROWS);
  return IMG_NORM_PIXEL(history, from);
}

void main() {
  if (PASSINDEX == 0) {
    gl_FragColor = remember();
    return;
  }
  vec2 uv = isf_FragNormCoord;
  float aspect = RENDERSIZE.x / RENDERSIZE.y;
  float horizon = 0.58;
  float between = fract(TIME * flight);
  vec3 nearColour = tint(0.91);
  vec3 farColour = tint(0.60);

  // The sky: a low sun that swells with the bass, over a night gradient.
  vec2 sun = vec2((uv.x - 0.5) * aspect, uv.y - horizon - 0.10);
  float disc = length(sun) - 0.16 - 0.035 * audioKick;
  float slats = smoothstep(-0.1, 0.25, sun.y + 0.12) > 0.0 ? smoothstep(0.0, 0.25, abs(fract(sun.y * 26.0 - TIME * 0.3) - 0.5) - 0.04 + sun.y * 1.2) : 1.0;
  vec3 sky = mix(farColour * 0.20, vec3(0.008, 0.008, 0.03), smoothstep(horizon - 0.05, 1.0, uv.y));
  vec3 glow = mix(tint(0.93), tint(0.11), smoothstep(-0.14, 0.16, sun.y));
  sky += glow * smoothstep(0.006, -0.006, disc) * slats * (0.55 + 0.5 * audioLow);
  sky += glow * exp(-7.0 * max(disc, 0.0)) * (0.10 + 0.30 * audioLow);

  vec3 colour = sky;
  for (float i = 0.0; i < ROWS - 1.0; i += 1.0) {
    // Row 0 is born at the horizon and row 31 passes below the viewer; walk from the near rows to the far ones.
    float row = ROWS - 2.0 - i;
    float age = (row + between) / (ROWS - 1.0);
    float near = age * age;
    float base = mix(horizon, -0.10, near);
    float tall = height * mix(0.30, 0.62, near);
    if (uv.y > base + tall) continue;
    float x = (uv.x - 0.5) / mix(0.72, 1.45, near) + 0.5;
    float sides = abs(x * 2.0 - 1.0);
    float sound = IMG_NORM_PIXEL(history, vec2(x, (row + 0.5) / ROWS)).r;
    float valley = mix(0.16, 1.0, smoothstep(0.05, 0.55, sides));
    float top = base + tall * sound * sound * valley * smoothstep(0.0, 0.12, age);
    if (uv.y < top) {
      float depth = top - uv.y;
      float pixel = 1.0 / RENDERSIZE.y;
      float thick = pixel * mix(0.9, 2.2, near);
      float line = smoothstep(thick * 1.9, thick * 0.5, depth);
      float glare = exp(-depth * mix(70.0, 26.0, near));
      vec3 ink = mix(farColour, nearColour, age);
      float light = mix(0.35, 1.0, age) * (0.45 + 0.9 * sound);
      vec3 ground = mix(farColour * 0.05, vec3(0.004, 0.004, 0.014), age);
      colour = ground + ink * (line * 1.5 + glare * 0.30) * light * (0.8 + 0.5 * audioKick * age);
      break;
    }
  }
  colour = 1.0 - exp(-1.6 * colour);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
