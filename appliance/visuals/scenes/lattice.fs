/*{
  "ISFVSN": "2",
  "DESCRIPTION": "A printed poster that breathes: dots that become squares with the bar, swollen by their band",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio", "Graphic"],
  "INPUTS": [
    { "NAME": "grid", "TYPE": "float", "MIN": 5.0, "MAX": 22.0, "DEFAULT": 11.0, "LABEL": "Rows" },
    { "NAME": "tilt", "TYPE": "float", "MIN": -1.0, "MAX": 1.0, "DEFAULT": 0.0, "LABEL": "Tilt" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "wave", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Wave" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioHat", "TYPE": "float" },
    { "NAME": "beatCount", "TYPE": "float", "MAX": 1000000.0 },
    { "NAME": "barPhase", "TYPE": "float" },
    { "NAME": "phrasePhase", "TYPE": "float" },
    { "NAME": "audioBands", "TYPE": "audioFFT" }
  ]
}*/

const float PI = 3.14159265;

vec3 tint(float t) {
  return 0.5 + 0.5 * cos(2.0 * PI * (t + vec3(0.0, 0.28, 0.58)));
}

void main() {
  vec2 p = (isf_FragNormCoord * 2.0 - 1.0) * vec2(RENDERSIZE.x / RENDERSIZE.y, 1.0);
  float turn = tilt * 0.785 + 0.06 * sin(phrasePhase * 2.0 * PI);
  p = mat2(cos(turn), -sin(turn), sin(turn), cos(turn)) * p;
  p *= 1.0 - 0.045 * audioKick;

  float rows = floor(grid + 0.5);
  vec2 q = p * rows * 0.5;
  vec2 cell = floor(q) + 0.5;
  vec2 inside = (q - cell) * 2.0;
  float far = length(cell) / rows;

  // Each cell listens to one band, bass in the middle, and swells when the wave of the beat passes.
  float loud = IMG_NORM_PIXEL(audioBands, vec2(0.02 + 0.75 * clamp(far * 0.95, 0.0, 1.0), 0.5)).r;
  float passing = 0.5 + 0.5 * cos(2.0 * PI * (far * 1.3 - beatCount * 0.5));
  float size = 0.12 + 0.78 * pow(loud, 1.6) + 0.22 * wave * passing * (0.25 + audioLow);
  size = min(size, 0.97);

  // Superellipse from dot (2) to square (8) and back over the bar.
  float power = 2.0 + 6.0 * pow(0.5 - 0.5 * cos(2.0 * PI * barPhase), 2.0);
  vec2 a = abs(inside);
  float shape = pow(pow(a.x, power) + pow(a.y, power), 1.0 / power);
  float pixel = 2.2 * rows / RENDERSIZE.y;
  float dot_ = smoothstep(size + pixel, size - pixel, shape);
  float hole = smoothstep(size * 0.55 - pixel, size * 0.55 + pixel, shape);
  float checker = mod(cell.x - 0.5 + cell.y - 0.5, 2.0);
  float ringed = step(0.62, loud) * checker;

  vec3 paper = mix(vec3(0.020, 0.018, 0.035), tint(hue + 0.62) * 0.12, 0.35 + 0.4 * audioLow);
  vec3 first = mix(tint(hue + 0.45 + 0.25 * far), vec3(1.0, 0.96, 0.88), 0.10);
  vec3 second = mix(tint(hue + 0.05 + 0.20 * far), vec3(1.0, 0.96, 0.88), 0.25);
  vec3 ink = mix(first, second, checker) * (0.30 + 0.85 * loud + 0.35 * audioHat * checker);
  vec3 colour = mix(paper, ink, dot_ * mix(1.0, hole, ringed));
  colour += ink * exp(-3.5 * max(0.0, shape - size)) * (1.0 - dot_) * 0.22 * (0.4 + audioKick);
  colour *= 1.12 - 0.42 * dot(p, p) * 0.4;
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
