/*{
  "ISFVSN": "2",
  "DESCRIPTION": "Northern lights over a still lake; calm for breaks, alive when the mids come in",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio", "Calm"],
  "INPUTS": [
    { "NAME": "curtains", "TYPE": "float", "MIN": 0.2, "MAX": 2.0, "DEFAULT": 1.0, "LABEL": "Strength" },
    { "NAME": "sway", "TYPE": "float", "MIN": 0.2, "MAX": 2.0, "DEFAULT": 1.0, "LABEL": "Sway" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "lake", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.6, "LABEL": "Lake" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioMid", "TYPE": "float" },
    { "NAME": "audioHigh", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioMidTime", "TYPE": "float", "MAX": 100000.0 },
    { "NAME": "audioBands", "TYPE": "audioFFT" }
  ]
}*/

vec3 tint(float t) {
  return 0.5 + 0.5 * cos(6.2831853 * (t + vec3(0.42, 0.02, 0.30)));
}

float chance(vec2 p) {
  return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453);
}

vec3 curtain(vec2 p, float i, float t) {
  float bend = 0.26 * sin(p.x * 1.3 + t * 0.5 + i * 2.4) + 0.10 * sin(p.x * 3.1 - t * 0.8 + i) + 0.03 * sin(p.x * 8.3 + t * 1.7 + i * 5.0);
  float foot = 0.24 + 0.10 * i + bend;
  float above = p.y - foot;
  float place = fract(0.5 + 0.23 * p.x + 0.17 * i);
  float loud = IMG_NORM_PIXEL(audioBands, vec2(0.05 + 0.8 * abs(place * 2.0 - 1.0), 0.5)).r;
  float tall = 0.26 + 0.32 * loud + 0.10 * audioKick;
  float body = smoothstep(-0.035, 0.02, above) * exp(-max(above, 0.0) / tall * 2.2);
  float rays = 0.62 + 0.38 * sin(p.x * 34.0 + 9.0 * bend + t * 1.2 + i * 7.0) * sin(p.x * 13.0 - t * 0.7 + bend * 20.0);
  vec3 low = tint(hue + 0.50 + 0.03 * i);
  vec3 high = tint(hue + 0.78 + 0.06 * i);
  return mix(low, high, smoothstep(0.02, 0.46, above)) * body * rays * (0.34 + 0.95 * loud);
}

vec3 heaven(vec2 p, float t) {
  vec3 colour = mix(vec3(0.010, 0.020, 0.045), vec3(0.004, 0.005, 0.018), clamp(p.y, 0.0, 1.0));
  vec2 cell = floor(p * 42.0);
  vec2 spark = fract(p * 42.0) - 0.5 - 0.6 * (vec2(chance(cell), chance(cell + 7.3)) - 0.5);
  float twinkle = 0.35 + 0.65 * sin(TIME * (0.6 + chance(cell.yx)) + 40.0 * chance(cell)) * (0.3 + 0.7 * audioHigh);
  colour += step(0.90, chance(cell + 3.1)) * exp(-dot(spark, spark) * 190.0) * max(twinkle, 0.1) * vec3(0.8, 0.9, 1.0);
  vec3 light = curtain(p, 0.0, t) + 0.8 * curtain(p * 1.1 + 0.3, 1.0, t) + 0.6 * curtain(p * 1.25 - 0.4, 2.0, t);
  return colour + light * curtains * (0.55 + 0.85 * audioMid + 0.35 * audioKick);
}

float hills(float x) {
  return 0.055 + 0.045 * sin(x * 2.3 + 0.6) + 0.028 * sin(x * 5.9 + 1.0) + 0.012 * sin(x * 13.7);
}

void main() {
  float aspect = RENDERSIZE.x / RENDERSIZE.y;
  vec2 p = vec2((isf_FragNormCoord.x * 2.0 - 1.0) * aspect, isf_FragNormCoord.y * 1.38 - 0.38);
  float t = (TIME * 0.25 + audioMidTime * 0.6) * sway;
  bool water = p.y < 0.0;
  vec2 seen = p;
  float ripple = 0.0;
  if (water) {
    float near = -p.y;
    ripple = sin(p.y * 90.0 / (0.4 + near * 2.0) + t * 3.0 + sin(p.x * 6.0)) * (0.004 + 0.02 * near) * (0.6 + 1.6 * audioLow);
    seen = vec2(p.x + ripple * 2.0, -p.y * 1.5 + ripple);
  }
  float ridge = hills(seen.x);
  vec3 colour = seen.y < ridge ? vec3(0.003, 0.005, 0.010) : heaven(seen, t);
  colour += vec3(0.02, 0.05, 0.05) * exp(-abs(seen.y - ridge) * 26.0) * (0.5 + audioMid);
  if (water) {
    colour = colour * lake * exp(p.y * 1.2) + vec3(0.004, 0.008, 0.016);
    colour += tint(hue + 0.5) * smoothstep(0.6, 1.0, ripple * 60.0) * 0.02 * audioLow;
  }
  colour = 1.0 - exp(-1.9 * colour);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
