/** Says how long something takes, in whole minutes or seconds: "8 seconds". */
export function describeDuration(seconds: number, locale: string): string {
  const inMinutes = seconds > 90;
  const format = new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: inMinutes ? 'minute' : 'second',
    unitDisplay: 'long',
  });
  return format.format(inMinutes ? Math.ceil(seconds / 60) : seconds);
}
