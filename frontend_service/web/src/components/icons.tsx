import type { ComponentChildren } from 'preact';

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

/** A bell. */
export const BellIcon = () => (
  <Icon>
    <path d="M6 9a6 6 0 1 1 12 0c0 6 2 7 2 7H4s2-1 2-7" />
    <path d="M10 20a2 2 0 0 0 4 0" />
  </Icon>
);

/** A pen. */
export const WriteIcon = () => (
  <Icon>
    <path d="M12 20h8" />
    <path d="M16 4l4 4L9 19l-5 1 1-5z" />
  </Icon>
);

/** A door with an arrow out of it. */
export const SignOutIcon = () => (
  <Icon>
    <path d="M10 4H5v16h5" />
    <path d="M15 8l4 4-4 4M19 12H9" />
  </Icon>
);

/** An arrow to the left. */
export const BackIcon = () => (
  <Icon>
    <path d="M15 5l-7 7 7 7" />
  </Icon>
);

/** A cross. */
export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

/** A paper plane. */
export const SendIcon = () => (
  <Icon>
    <path d="M4 12L20 4l-5 16-4-7z" />
  </Icon>
);

/** An arrow down. */
export const DownIcon = () => (
  <Icon>
    <path d="M12 5v14M6 13l6 6 6-6" />
  </Icon>
);

/** The page's sign. */
export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" width="40" height="40" aria-hidden="true">
    <rect width="32" height="32" rx="9" class="logo-ground" />
    <path d="M8 9h16v11H15l-5 4v-4H8z" class="logo-bubble" />
  </svg>
);
