'use strict';
// Formats numbers and makes elements. Data from the network goes into the page as text only.

const grouped = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', minimumFractionDigits: 1, maximumFractionDigits: 1});
const unknown = '–';

const known = value => value !== null && value !== undefined;
const count = value => !known(value) ? unknown : value < 1e7 ? grouped.format(value) : compact(value);
const compact = value => short.format(value).replace('K', ' k').replace('M', ' M').replace('B', ' G').replace('T', ' T');

function rate(value) {
  if (!known(value)) return unknown;
  if (value > 0 && value < 10) return value.toFixed(1);
  return value < 10000 ? grouped.format(value) : compact(value);
}

function bytes(value) {
  if (!known(value)) return unknown;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (value >= 1000 && at + 1 < units.length) { value /= 1000; ++at; }
  return (at === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)) + ' ' + units[at];
}

function milliseconds(value) {
  if (!known(value)) return unknown;
  return (value === 0 || value >= 100 ? value.toFixed(0) : value < 1 ? value.toFixed(2) : value.toFixed(1)) + ' ms';
}

function duration(ms) {
  if (!known(ms)) return unknown;
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s / 60) % 60 + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s / 3600) % 24 + ' h';
}

const share = (value, most) => known(value) && most > 0 ? Math.min(value / most, 1) : 0;
const sum = (all, field) => all.some(each => known(each[field])) ? all.reduce((total, each) => total + (each[field] || 0), 0) : null;

// A sign and a word show each state, beside its colour.
const states = {
  ready: {sign: '●', tone: 'good'},
  serving: {sign: '●', tone: 'good'},
  following: {sign: '●', tone: 'good'},
  full: {sign: '■', tone: 'warn'},
  starting: {sign: '◌', tone: 'warn'},
  loading: {sign: '◌', tone: 'warn'},
  waiting: {sign: '◌', tone: 'warn'},
  draining: {sign: '▼', tone: 'warn'},
  stopping: {sign: '▼', tone: 'warn'},
  drained: {sign: '▼', tone: 'away'},
  down: {sign: '✕', tone: 'bad'},
  failed: {sign: '✕', tone: 'bad'},
};
function state(name) {
  const word = name.split(/[: ]/)[0];
  return Object.hasOwn(states, word) ? states[word] : {sign: '?', tone: 'warn'};
}
const serves = replica => replica.state === 'serving' || replica.state.startsWith('full: ');
const mirrors = (proxy, subtree) => Object.hasOwn(proxy.mirrors, subtree);
const there = process => process.state !== 'down' && process.state !== 'drained';

const svgSpace = 'http://www.w3.org/2000/svg';

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
  return element;
}
const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const html = (name, attributes = {}) => set(document.createElement(name), attributes);
const svg = (name, attributes = {}) => set(document.createElementNS(svgSpace, name), attributes);

// Makes the children of `parent` match `keys`, in order: keeps existing ones, makes missing ones.
function arrange(parent, keys, make) {
  const present = parent.byKey || (parent.byKey = new Map());
  const wanted = new Set(keys);
  for (const [key, child] of present) {
    if (wanted.has(key)) continue;
    child.remove();
    present.delete(key);
  }
  keys.forEach((key, at) => {
    if (!present.has(key)) present.set(key, make(key));
    if (parent.children[at] !== present.get(key)) parent.insertBefore(present.get(key), parent.children[at] || null);
  });
  return keys.map(key => present.get(key));
}
