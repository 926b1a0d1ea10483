import { render } from 'preact';
import { App } from './components/app.js';
import { language } from './i18n/index.js';
import { loadSession } from './state/session.js';
import './styles/base.css';
import './styles/layout.css';
import './styles/sign-in.css';
import './styles/conversations.css';
import './styles/thread.css';
import './styles/notifications.css';

document.documentElement.lang = language;
const root = document.getElementById('app');
if (root) render(<App />, root);
void loadSession();
