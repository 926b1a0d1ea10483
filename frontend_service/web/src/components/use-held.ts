import { useEffect, useState } from 'preact/hooks';

/** True once `condition` has held for so long; false as soon as it does not. */
export function useHeld(condition: boolean, milliseconds: number): boolean {
  const [isHeld, setIsHeld] = useState(false);
  useEffect(() => {
    if (!condition) return undefined;
    const timer = setTimeout(() => setIsHeld(true), milliseconds);
    return () => {
      clearTimeout(timer);
      setIsHeld(false);
    };
  }, [condition, milliseconds]);
  return condition && isHeld;
}
