const paths = {
  back: 'M15 5l-7 7 7 7',
  bell: 'M6 16.5V11a6 6 0 1 1 12 0v5.5l1.5 2h-15zM10 21h4',
  close: 'M6 6l12 12M18 6L6 18',
  down: 'M12 5v14M6 13l6 6 6-6',
  mail: 'M4 6h16v12H4zM4 7l8 6 8-6',
  send: 'M4 12l16-8-6 16-3-6.5z',
  signOut: 'M14 4H6v16h8M10 12h10M17 8.5l3.5 3.5-3.5 3.5',
  write: 'M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19zM13.5 7l3.5 3.5',
};

/** A picture beside, or in place of, words that say the same. */
export function Icon({ name }: { name: keyof typeof paths }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
