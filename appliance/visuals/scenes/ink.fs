/*{
  "ISFVSN": "2",
  "DESCRIPTION": "Ink in water: three pens fed by bass, mids and highs, stirred by a slow current",
  "CREDIT": "appliance, GPL-3.0-or-later",
  "CATEGORIES": ["Generator", "Audio", "Feedback"],
  "INPUTS": [
    { "NAME": "current", "TYPE": "float", "MIN": 0.0, "MAX": 2.5, "DEFAULT": 1.0, "LABEL": "Current" },
    { "NAME": "memory", "TYPE": "float", "MIN": 0.9, "MAX": 0.995, "DEFAULT": 0.975, "LABEL": "Memory" },
    { "NAME": "hue", "TYPE": "float", "MIN": 0.0, "MAX": 1.0, "DEFAULT": 0.5, "LABEL": "Colour" },
    { "NAME": "gloss", "TYPE": "float", "MIN": 0.0, "MAX": 2.0, "DEFAULT": 1.0, "LABEL": "Gloss" },
    { "NAME": "audioLow", "TYPE": "float" },
    { "NAME": "audioMid", "TYPE": "float" },
    { "NAME": "audioHigh", "TYPE": "float" },
    { "NAME": "audioKick", "TYPE": "float" },
    { "NAME": "audioLowTime", "TYPE": "float", "MAX": 100000.0 },
    { "NAME": "beatCount", "TYPE": "float", "MAX": 1000000.0 }
  ],
  "PASSES": [
    { "TARGET": "water", "PERSISTENT": true, "FLOAT": true, "WIDTH": "$WIDTH / 2", "HEIGHT": "$HEIGHT / 2" },
    {}
  ]
}*/

vec3 tint(float t) {
  return 0.5 + 0.5 * cos(6.2831853 * (t + vec3(0.0, 0.18, 0.38)));
}

vec2 stir(vec2 p, float t) {
  vec2 a = vec2(sin(p.y * 2.3 + t) + 0.6 * sin(p.y * 5.1 - t * 1.3 + p.x), cos(p.x * 2.1 - t * 0.8) + 0.6 * cos(p.x * 4.7 + t + p.y));
  return a + 0.45 * vec2(sin(p.y * 9.0 + a.x * 2.0 - t), cos(p.x * 9.0 + a.y * 2.0 + t));
}

float pen(vec2 p, vec2 at, float radius) {
  vec2 d = p - at;
  return exp(-dot(d, d) / (radius * radius));
}

void main() {
  float aspect = RENDERSIZE.x / RENDERSIZE.y;
  vec2 uv = isf_FragNormCoord;
  vec2 p = (uv * 2.0 - 1.0) * vec2(aspect, 1.0);
  if (PASSINDEX == 0) {
    float step30 = clamp(TIMEDELTA * 30.0, 0.0, 2.0);
    float t = TIME * 0.23 + audioLowTime * 0.4;
    vec2 flow = stir(p, t) * 0.0062 * current * (0.6 + 1.1 * audioMid);
    flow += p * -0.0045 * (0.4 + 2.0 * audioKick);
    vec2 from = uv + flow * step30 / vec2(aspect, 1.0);
    vec3 ink = IMG_NORM_PIXEL(water, from).rgb * pow(memory, step30);

    float b = beatCount * 0.7853982;
    float wide = 0.75 * aspect / 1.7778;
    vec2 low = vec2(cos(b * 0.5) * wide * 0.55, sin(b) * 0.42);
    vec2 mid = vec2(sin(b + 2.1) * wide, cos(b * 0.75 + 1.0) * 0.55);
    vec2 high = vec2(cos(b * 1.5 + 4.0) * wide * 1.1, sin(b * 2.0 + 0.5) * 0.65);
    vec3 feed = tint(hue + 0.50) * pen(p, low, 0.15 + 0.10 * audioKick) * (0.05 * audioLow + 0.55 * audioKick);
    feed += tint(hue + 0.78) * pen(p, mid, 0.10) * audioMid * 0.42;
    feed += tint(hue + 0.12) * pen(p, high, 0.055) * audioHigh * 0.80;
    feed += vec3(0.006, 0.008, 0.014) * pen(p, vec2(0.0), 0.6);
    gl_FragColor = vec4(min(ink + feed * step30, vec3(6.0)), 1.0);
    return;
  }
  vec2 texel = 2.0 / RENDERSIZE;
  vec3 ink = IMG_NORM_PIXEL(water, uv).rgb;
  float right = dot(IMG_NORM_PIXEL(water, uv + vec2(texel.x, 0.0)).rgb, vec3(0.33));
  float above = dot(IMG_NORM_PIXEL(water, uv + vec2(0.0, texel.y)).rgb, vec3(0.33));
  float here = dot(ink, vec3(0.33));
  vec3 normal = normalize(vec3(here - right, here - above, 0.10));
  float shine = pow(max(0.0, dot(normal, normalize(vec3(0.5, 0.6, 0.62)))), 24.0);
  vec3 colour = ink * (0.75 + 0.5 * normal.y) + shine * gloss * 0.35 * smoothstep(0.02, 0.5, here);
  colour += vec3(0.010, 0.012, 0.026) * (1.2 - length(p) * 0.5);
  colour = 1.0 - exp(-1.5 * colour);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  gl_FragColor = vec4(colour + grain / 160.0, 1.0);
}
