import { signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { getSubscription, putSubscription } from '../api/routes.js';
import { Loader } from './loader.js';

/** Whether the user wants to be notified. */
export class Subscription {
  /** As shown: a change shows at once. */
  readonly isOn = signal(true);
  readonly hasFailed = signal(false);
  readonly #loader = new Loader(async () => {
    const { subscribed } = await getSubscription();
    if (this.#changesUnderWay === 0) this.isOn.value = subscribed;
  });
  #changesUnderWay = 0;

  readonly status = this.#loader.status;
  refresh = this.#loader.refresh;
  stop = () => this.#loader.stop();

  set = async (isOn: boolean): Promise<void> => {
    const before = this.isOn.value;
    this.isOn.value = isOn;
    this.hasFailed.value = false;
    this.#changesUnderWay++;
    try {
      await this.#loader.exclusively(() => putSubscription(isOn));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.isOn.value = before;
      this.hasFailed.value = true;
    } finally {
      this.#changesUnderWay--;
    }
  };
}
