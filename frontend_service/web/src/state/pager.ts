import { batch, computed, signal } from '@preact/signals';
import { ApiError } from '../api/request.js';
import { Loader } from './loader.js';

export type MoreStatus = 'idle' | 'loading' | 'failed';

interface Source<Page> {
  fetchPage: (pageToken: string) => Promise<Page>;
  /** Adds what the pages hold to what there is. */
  store: (pages: Page[]) => void;
  /** Whether the page goes back to where nothing has happened since it was last stored. */
  reachesKnown: (page: Page) => boolean;
}

/** A list of the server's that comes in pages, newest first: kept up to date at one end, continued at the other. */
export class Pager<Page extends { next_page_token: string }> {
  readonly loader = new Loader(() => this.#loadNews());
  readonly moreStatus = signal<MoreStatus>('idle');
  readonly #nextPageToken = signal('');
  readonly hasMore = computed(() => this.#nextPageToken.value !== '');

  constructor(private readonly source: Source<Page>) {}

  /** Continues the list. Never rejects. */
  loadMore = async (): Promise<void> => {
    if (this.moreStatus.value === 'loading' || !this.hasMore.value) return;
    this.moreStatus.value = 'loading';
    try {
      await this.loader.exclusively(async () => {
        const page = await this.source.fetchPage(this.#nextPageToken.value);
        batch(() => {
          this.source.store([page]);
          this.#nextPageToken.value = page.next_page_token;
        });
      });
      this.moreStatus.value = 'idle';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.moreStatus.value = 'failed';
    }
  };

  /** Stores nothing before all is there: a gap would look like something known. */
  async #loadNews(): Promise<void> {
    const isFirst = this.loader.status.value !== 'ready';
    const pages: Page[] = [];
    let pageToken = '';
    for (;;) {
      const page = await this.source.fetchPage(pageToken);
      pages.push(page);
      pageToken = page.next_page_token;
      if (isFirst || pageToken === '' || this.source.reachesKnown(page)) break;
    }
    batch(() => {
      this.source.store(pages);
      if (isFirst || pageToken === '') this.#nextPageToken.value = pageToken;
    });
  }
}
