import { render } from 'preact';
import { App } from './components/app.js';
import { language } from './i18n/index.js';
import { watchLooks } from './state/desktop-notifications.js';
import { watchEnvironment } from './state/environment.js';
import { watchRoute } from './state/route.js';
import { watchSession } from './state/session.js';
import './styles/index.css';

document.documentElement.lang = language;
watchEnvironment();
watchLooks();
watchRoute();
watchSession();

const root = document.getElementById('app');
if (root) render(<App />, root);
