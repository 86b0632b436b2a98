/*{
  "ISFVSN": "2",
  "DESCRIPTION": "A tunnel of light panels; its walls are the spectrum, its speed the tempo",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio"],
  "INPUTS": [
    { "NAME": "panels", "TYPE": "float", "MIN": 6.0, "MAX": 24.0, "DEFAULT": 12.0, "LABEL": "Panels around" },
    { "NAME": "twist", "TYPE": "float", "MIN": -1.5, "MAX": 1.5, "DEFAULT": 0.35, "LABEL": "Twist" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "fog", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Fog" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioHat", "TYPE": "float" },
    { "NAME": "beatCount", "TYPE": "float", "MAX": 1000000.0 },
    { "NAME": "phrasePhase", "TYPE": "float" },
    { "NAME": "audioBands", "TYPE": "audioFFT" }
  ]
}*/

const float PI = 3.14159265;

vec3 tint(float t) {
  return 0.5 + 0.5 * cos(2.0 * PI * (t + vec3(0.05, 0.33, 0.60)));
}

float chance(vec2 p) {
  return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453);
}

void main() {
  vec2 p = (isf_FragNormCoord * 2.0 - 1.0) * vec2(RENDERSIZE.x / RENDERSIZE.y, 1.0);
  float sway = TIME * 0.31;
  p += 0.16 * vec2(sin(sway), cos(sway * 1.27));
  // A rounded square is friendlier to the eye than a pipe.
  float r = pow(pow(abs(p.x) * 0.82, 4.0) + pow(abs(p.y), 4.0), 0.25) + 0.0001;
  float depth = 0.55 / r;
  float along = depth + beatCount * 0.5;
  float count = floor(panels + 0.5);
  float around = (atan(p.y, p.x) / (2.0 * PI) + 0.5 + twist * 0.08 * depth + phrasePhase) * count;

  vec2 cell = vec2(mod(floor(around), count), floor(along * 2.0));
  vec2 inside = vec2(fract(around), fract(along * 2.0));
  float luck = chance(mod(cell, 61.0));
  float loud = IMG_NORM_PIXEL(audioBands, vec2(0.02 + 0.8 * luck, 0.5)).r;

  vec2 rim = abs(inside - 0.5) * 2.0;
  float soft = clamp(depth * 0.05 + 3.0 / RENDERSIZE.y * depth, 0.02, 0.5);
  float panel = smoothstep(0.86, 0.86 - soft, rim.x) * smoothstep(0.80, 0.80 - soft, rim.y);
  float frame = smoothstep(0.80 - soft, 0.93, max(rim.x, rim.y));

  vec3 base = tint(hue + 0.40 + 0.22 * luck + 0.03 * depth);
  float lit = pow(loud, 2.2) * (0.35 + 1.5 * step(0.55, luck)) + 0.6 * audioKick * step(0.8, luck);
  vec3 colour = base * panel * (0.045 + 1.25 * lit);
  colour += tint(hue + 0.85) * frame * (0.05 + 0.30 * audioHat * step(0.5, chance(cell.yy)));

  // A wave of light runs inwards with every beat.
  float wave = fract(along * 0.5 - beatCount * 0.75);
  colour += base * panel * pow(wave, 9.0) * audioLow * 0.9;

  float far = exp(-depth * mix(0.05, 0.34, fog));
  vec3 end = mix(tint(hue + 0.12), vec3(1.0), 0.35);
  colour = colour * far * smoothstep(0.0, 0.1, r) + end * exp(-r * mix(9.0, 5.0, fog)) * (0.32 + 0.9 * audioKick);
  colour = 1.0 - exp(-1.9 * colour);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
