// What the page says, in its two languages.

const WORDS = {
  en: {
    title: "Vigie · live",
    language: "Language",
    cameras: "Cameras",
    cameraCount: { one: "{n} camera", other: "{n} cameras" },
    connecting: "Connecting…",
    connected: "Connected",
    live: "Live",
    reconnecting: "Reconnecting…",
    full: "Too many browsers are watching; trying again",
    rate: "Rate",
    delay: "Delay",
    fps: "{n} fps",
    ms: "{n} ms",
    seconds: "{n} s",
    minutes: "{n} min",
    hours: "{n} h",
    stale: "No picture for {age}",
    unreadable: "This picture cannot be read",
    picture: "Live picture of {camera}",
    seen: "Seen by {camera}",
    nothing: "Nothing found",
    enlarge: "Show {camera} on the full screen",
    emptyTitle: "Waiting for the first picture",
    emptyText: "The page is ready, and no camera has sent anything yet. A camera appears here by itself with its first picture.",
    emptyStart: "Start on the model's trial source",
    emptySource: "Start on a video or a folder of yours",
    emptyStatus: "See what runs",
  },
  fr: {
    title: "Vigie · en direct",
    language: "Langue",
    cameras: "Caméras",
    cameraCount: { one: "{n} caméra", other: "{n} caméras" },
    connecting: "Connexion…",
    connected: "Connecté",
    live: "En direct",
    reconnecting: "Reconnexion…",
    full: "Trop de navigateurs regardent ; nouvel essai",
    rate: "Cadence",
    delay: "Retard",
    fps: "{n} im./s",
    ms: "{n} ms",
    seconds: "{n} s",
    minutes: "{n} min",
    hours: "{n} h",
    stale: "Pas d’image depuis {age}",
    unreadable: "Cette image est illisible",
    picture: "Image en direct de {camera}",
    seen: "Vu par {camera}",
    nothing: "Rien trouvé",
    enlarge: "Afficher {camera} en plein écran",
    emptyTitle: "En attente de la première image",
    emptyText: "La page est prête, mais aucune caméra n’a encore rien envoyé. Chaque caméra apparaît ici d’elle-même dès sa première image.",
    emptyStart: "Démarrer sur la source d’essai du modèle",
    emptySource: "Démarrer sur une vidéo ou un dossier",
    emptyStatus: "Voir ce qui tourne",
  },
};

const KEY = "vigie.language";
let language = remembered() ?? preferred();

export const currentLanguage = () => language;

export function chooseLanguage(chosen) {
  language = chosen;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // A browser that keeps nothing asks its own settings again next time.
  }
}

// The word for a name, with {places} filled in.
export function say(name, places = {}) {
  return filled(WORDS[language][name], places);
}

// The same for names that depend on a number.
export function sayCount(name, n) {
  const rule = new Intl.PluralRules(language).select(n);
  const forms = WORDS[language][name];
  return filled(forms[rule] ?? forms.other, { n: number(n) });
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

// Milliseconds as a person would say them.
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return say("seconds", { n: number(seconds) });
  if (seconds < 7200) return say("minutes", { n: number(Math.floor(seconds / 60)) });
  return say("hours", { n: number(Math.floor(seconds / 3600)) });
}

function filled(text, places) {
  return text.replace(/\{(\w+)\}/g, (_, place) => places[place]);
}

function remembered() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept in WORDS ? kept : null;
  } catch {
    return null;
  }
}

function preferred() {
  for (const tag of navigator.languages) {
    const short = tag.slice(0, 2).toLowerCase();
    if (short in WORDS) return short;
  }
  return "en";
}
