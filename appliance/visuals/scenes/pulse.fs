/*{
  "ISFVSN": "2",
  "DESCRIPTION": "A dark sun: its corona is the spectrum, every kick sends a ring outwards",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio"],
  "INPUTS": [
    { "NAME": "size", "TYPE": "float", "MIN": 0.15, "MAX": 0.8, "DEFAULT": 0.42, "LABEL": "Size" },
    { "NAME": "reach", "TYPE": "float", "MIN": 0.1, "MAX": 1.4, "DEFAULT": 0.75, "LABEL": "Reach of the corona" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "haze", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Haze" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioMid", "TYPE": "float" },
    { "NAME": "audioHigh", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioMidTime", "TYPE": "float", "MAX": 100000.0 },
    { "NAME": "beatPhase", "TYPE": "float" },
    { "NAME": "phrasePhase", "TYPE": "float" },
    { "NAME": "audioBands", "TYPE": "audioFFT" }
  ]
}*/

const float PI = 3.14159265;

vec3 tint(float t) {
  return 0.5 + 0.5 * cos(2.0 * PI * (t + vec3(0.0, 0.21, 0.43)));
}

float band(float place) {
  return IMG_NORM_PIXEL(audioBands, vec2(0.01 + 0.9 * place, 0.5)).r;
}

void main() {
  vec2 p = (isf_FragNormCoord * 2.0 - 1.0) * vec2(RENDERSIZE.x / RENDERSIZE.y, 1.0);
  float r = length(p);
  float turn = atan(p.x, -p.y) / PI;
  float edge = size * (1.0 + 0.13 * audioKick + 0.05 * audioLow);

  // The corona: spokes mirrored left and right, bass at the bottom.
  float spokes = 72.0;
  float cell = abs(turn) * spokes * 0.5;
  float loud = band((floor(cell) + 0.5) / (spokes * 0.5));
  float across = abs(fract(cell) - 0.5) * 2.0 * PI * r / spokes;
  float spokeLength = reach * (0.03 + 0.9 * loud * loud);
  float along = (r - edge - 0.035) / spokeLength;
  float width = 0.0085 + 0.006 * loud;
  float spoke = smoothstep(width, width * 0.35, across) * step(0.0, along) * smoothstep(1.0, 0.85, along);
  vec3 warm = tint(hue + 0.18 + 0.1 * phrasePhase);
  vec3 cool = tint(hue + 0.52 + 0.1 * phrasePhase);
  vec3 colour = mix(warm, cool, clamp(abs(turn), 0.0, 1.0)) * spoke * (0.55 + 1.3 * loud) * (1.2 - 0.6 * clamp(along, 0.0, 1.0));

  // The rim of the sun and the light that leaks around it.
  float rim = abs(r - edge);
  colour += mix(warm, vec3(1.0, 0.95, 0.9), 0.55) * (0.0065 / (rim + 0.0045)) * (0.34 + 0.9 * audioKick);
  colour += warm * exp(-5.0 * max(0.0, r - edge)) * step(edge, r) * (0.10 + 0.5 * audioLow * audioLow);

  // One ring a beat, wide and thin as it leaves.
  float ring = edge + 0.1 + beatPhase * 1.5;
  float fade = (1.0 - beatPhase) * (1.0 - beatPhase) * audioLow;
  colour += cool * exp(-pow((r - ring) * (26.0 - 14.0 * beatPhase), 2.0)) * fade * 0.55;

  // Haze: two slow waves of light, carried by the mids.
  float drift = audioMidTime * 0.35 + TIME * 0.05;
  float mist = sin(p.x * 2.1 + drift + sin(p.y * 2.7 - drift)) * sin(p.y * 1.7 - drift * 0.7 + sin(p.x * 1.3 + drift));
  vec3 deep = mix(vec3(0.012, 0.012, 0.03), mix(cool, warm, smoothstep(-1.0, 1.0, p.x * 0.6 + mist)) * 0.20, 0.5 + 0.5 * mist);
  colour += deep * haze * (0.7 + 1.3 * audioMid) * smoothstep(edge * 0.9, edge * 1.7, r);

  // The disc itself stays night, with sparks of the highs just inside its rim.
  float inside = smoothstep(edge + 0.003, edge - 0.003, r);
  colour *= 1.0 - 0.94 * inside * smoothstep(0.0, 0.02, rim);
  colour += cool * inside * exp(-9.0 * rim) * (0.05 + 0.5 * audioHigh * audioHigh);

  colour = 1.0 - exp(-1.7 * colour);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
