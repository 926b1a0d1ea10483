import { useRef, useState } from 'preact/hooks';
import { describeError } from '../i18n/describe-error.js';
import { t } from '../i18n/index.js';
import { normalizeEmail } from '../state/route.js';
import { signIn, signUp } from '../state/session.js';
import { Icon } from './icon.js';

/** Signs in or up. @param hasEnded whether there was a session just now, which ended by itself */
export function WelcomeScreen({ hasEnded }: { hasEnded: boolean }) {
  const [isNew, setIsNew] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const form = useRef<HTMLFormElement>(null);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (isBusy || !form.current) return;
    const values = new FormData(form.current);
    const value = (name: string) => {
      const entry = values.get(name);
      return typeof entry === 'string' ? entry : '';
    };
    const credentials = { email: normalizeEmail(value('email')), password: value('password') };
    setIsBusy(true);
    setProblem('');
    try {
      await (isNew ? signUp({ ...credentials, name: value('name').trim() }) : signIn(credentials));
    } catch (error) {
      setProblem(describeError(error, { 401: t.wrongPassword, 409: t.emailTaken }));
      setIsBusy(false);
      form.current.querySelector<HTMLInputElement>(isNew ? '[name=email]' : '[name=password]')?.focus();
    }
  };

  const switchForm = () => {
    setIsNew(!isNew);
    setProblem('');
  };

  const [label, busyLabel] = isNew ? [t.createAccount, t.creatingAccount] : [t.signIn, t.signingIn];
  return (
    <main class="welcome">
      <form ref={form} class="card" onSubmit={(event) => void submit(event)}>
        <span class="card-mark">
          <Icon name="mail" />
        </span>
        <h1>{isNew ? t.signUpTitle : t.signInTitle}</h1>
        <p class="card-intro">{isNew ? t.signUpIntro : t.signInIntro}</p>
        {hasEnded && !problem && (
          <p class="hint" role="status">
            {t.sessionEnded}
          </p>
        )}
        {isNew && <Field name="name" label={t.name} autoComplete="name" />}
        <Field name="email" label={t.email} autoComplete={isNew ? 'email' : 'username'} />
        <Field
          name="password"
          label={t.password}
          autoComplete={isNew ? 'new-password' : 'current-password'}
        />
        <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
        <button type="submit" class="button primary wide" aria-disabled={isBusy}>
          {isBusy ? busyLabel : label}
        </button>
        <button type="button" class="button quiet wide" onClick={switchForm}>
          {isNew ? t.iHaveAnAccount : t.iAmNew}
        </button>
      </form>
    </main>
  );
}

interface FieldProps {
  name: 'name' | 'email' | 'password';
  label: string;
  autoComplete: string;
}

function Field({ name, label, autoComplete }: FieldProps) {
  const attributes = { name, autoComplete, required: true, spellcheck: false };
  return (
    <label class="field">
      <span>{label}</span>
      {name === 'name' && <input {...attributes} type="text" autoCapitalize="words" dir="auto" />}
      {/* What counts as an email address is for the server to say: browsers refuse some that are. */}
      {name === 'email' && <input {...attributes} type="text" inputMode="email" autoCapitalize="none" />}
      {name === 'password' && <input {...attributes} type="password" />}
    </label>
  );
}
